"""What the pages of results/ show, from the records there."""
