import pytest
import torch

from helpers.learned import CHANNELS, certain_student, plain_encoder, untrained_student
from psmnet.models.student import Student


@pytest.mark.parametrize(("height", "width"), [(16, 16), (32, 80), (112, 48)])
def test_shapes(height, width):
    student = untrained_student(5)
    stacks = torch.randn(2, 3, height, width)
    with torch.no_grad():
        logits, code = student.logits_and_code(stacks)
        assert logits.shape == (2, 6, height, width)
        assert code.shape == (2, 256)
        assert torch.equal(student(stacks), logits)
        probabilities = student.probabilities(stacks)
    assert probabilities.shape == (2, 5, height, width)
    assert torch.allclose(probabilities, logits.softmax(dim=1)[:, 1:])


def test_probabilities_are_a_softmax_without_background():
    found = certain_student(0.0, 0.0, 0.0).probabilities(torch.randn(1, 3, 16, 16))
    assert torch.allclose(found, torch.full((1, 2, 16, 16), 1 / 3))


def test_it_begins_as_the_encoder_that_sees_one_slice():
    encoder = plain_encoder()
    student = Student.from_encoder(encoder, 2, CHANNELS).eval()
    stacks = torch.randn(2, 3, 32, 48)
    with torch.no_grad():
        for mine, theirs in zip(student.encoder.levels(stacks), encoder.levels(stacks[:, 1:2]), strict=True):
            assert torch.allclose(mine, theirs, atol=1e-5)
    assert student.encoder.stem[0].weight[:, [0, 2]].abs().max() == 0


def test_neighbours_count_once_their_weights_are_not_zero():
    student = untrained_student()
    stacks = torch.randn(1, 3, 16, 16)
    other = torch.cat([torch.zeros(1, 1, 16, 16), stacks[:, 1:]], dim=1)
    with torch.no_grad():
        assert not torch.allclose(student(stacks), student(other))


def test_a_students_encoder_does_not_share_weights_with_the_one_that_it_began_with():
    encoder = plain_encoder()
    student = Student.from_encoder(encoder, 1, CHANNELS)
    before = encoder.head.weight.clone()
    with torch.no_grad():
        student.encoder.head.weight.zero_()
    assert torch.equal(encoder.head.weight, before)
