/** Short hands for the document. */

export const $ = (selector, root = document) => root.querySelector(selector);

/**
 * An element. Keys of `props` that the element has as properties are set as such, "on..." listens, others become
 * attributes (`null` and `false` leave them out).
 */
export function make(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key in node) node[key] = value;
    else if (value !== null && value !== false) node.setAttribute(key, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== false && child !== undefined));
  return node;
}

/** A patch of an organ's colour. */
export function swatch(colour) {
  const node = make("span", { className: "swatch", "aria-hidden": "true" });
  node.style.backgroundColor = colour;
  return node;
}

/**
 * Put other children into a container, if what they are made of has changed: what stays is left alone, with its focus,
 * its open list or its place under a pointer. Else the control of the same `data-focus` takes over the focus.
 *
 * @param {Element} container
 * @param {any} content what the children are made of, as plain values
 * @param {() => Node[]} build
 */
export function refill(container, content, build) {
  const print = JSON.stringify(content);
  if (container.print === print) return;
  container.print = print;
  const held = container.contains(document.activeElement) ? document.activeElement.dataset.focus : undefined;
  container.replaceChildren(...build());
  if (held) container.querySelector(`[data-focus="${CSS.escape(held)}"]`)?.focus({ preventScroll: true });
}

/** @param {HTMLSelectElement} select @param {string[][]} choices value and text of each @param {string} value chosen */
export function offer(select, choices, value) {
  refill(select, choices, () => choices.map(([key, text]) => make("option", { value: key }, text)));
  select.value = value;
}

/** Scroll a list, and nothing around it, until a row is in view. */
export function reveal(list, row) {
  const [outer, inner] = [list.getBoundingClientRect(), row.getBoundingClientRect()];
  if (inner.bottom > outer.bottom) list.scrollTop += inner.bottom - outer.bottom;
  if (inner.top < outer.top) list.scrollTop -= outer.top - inner.top;
}

/**
 * Keep a list's rows in step with items. A row is made once and then updated, so that focus and scroll position
 * survive the many small changes of a running job.
 *
 * @template T
 * @param {Element} list
 * @param {T[]} items
 * @param {(item: T) => string} keyOf
 * @param {(item: T) => {node: Element, update: (item: T) => void}} makeRow
 */
export function keepRows(list, items, keyOf, makeRow) {
  const before = list.rows ?? new Map();
  const rows = new Map(items.map((item) => [keyOf(item), before.get(keyOf(item)) ?? makeRow(item)]));
  for (const [key, row] of before) if (!rows.has(key)) row.node.remove();
  list.rows = rows;
  items.forEach((item, place) => {
    const { node, update } = rows.get(keyOf(item));
    update(item);
    if (list.children[place] !== node) list.insertBefore(node, list.children[place] ?? null);
  });
}
