/** Shorthands for the document. */

/**
 * An element that is known to be in index.html, of the kind that it has there.
 *
 * @param {string} selector
 * @param {ParentNode} root
 * @returns {any}
 */
export const $ = (selector, root = document) => root.querySelector(selector);

/** @param {string} selector @returns {NodeListOf<HTMLInputElement>} */
export const inputs = (selector) => document.querySelectorAll(selector);

/**
 * An element. Keys of `props` that the element has as properties are set as such, "on..." listens, others become
 * attributes (`null` and `false` leave them out).
 *
 * @param {string} tag
 * @param {Record<string, any>} props
 * @param {...any} children nodes or text, or lists of them; `null`, `undefined` and `false` are left out
 * @returns {any} the element, of the kind that the tag gives
 */
export function make(tag, props = {}, ...children) {
  /** @type {any} */
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key in node) node[key] = value;
    else if (value !== null && value !== false) node.setAttribute(key, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== false && child !== undefined));
  return node;
}

/** A patch of an organ's colour. @param {string} colour */
export function swatch(colour) {
  const node = make("span", { className: "swatch", "aria-hidden": "true" });
  node.style.backgroundColor = colour;
  return node;
}

/** What a container's children were made of when they were last built. @type {WeakMap<Element, string>} */
const contents = new WeakMap();
/** A list's rows by key. @type {WeakMap<Element, Map<string, {node: Element, update: (item: any) => void}>>} */
const rowsOf = new WeakMap();

/**
 * Build a container's children anew, if what they are made of has changed; else they keep their focus, an open list and
 * their place under the pointer. A new control with the same `data-focus` takes over the focus.
 *
 * @param {Element} container
 * @param {any} content what the children are made of, as plain values
 * @param {() => Node[]} build
 */
export function refill(container, content, build) {
  const print = JSON.stringify(content);
  if (contents.get(container) === print) return;
  contents.set(container, print);
  const active = document.activeElement;
  const held = active instanceof HTMLElement && container.contains(active) ? active.dataset.focus : undefined;
  container.replaceChildren(...build());
  if (held) $(`[data-focus="${CSS.escape(held)}"]`, container)?.focus({ preventScroll: true });
}

/** @param {HTMLSelectElement} select @param {string[][]} choices value and text of each @param {string} value chosen */
export function offer(select, choices, value) {
  refill(select, choices, () => choices.map(([key, text]) => make("option", { value: key }, text)));
  select.value = value;
}

/** Scroll a list, and nothing around it, until a row is in view. @param {Element} list @param {Element} row */
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
  const before = rowsOf.get(list) ?? new Map();
  const rows = new Map(items.map((item) => [keyOf(item), before.get(keyOf(item)) ?? makeRow(item)]));
  for (const [key, row] of before) if (!rows.has(key)) row.node.remove();
  rowsOf.set(list, rows);
  items.forEach((item, place) => {
    const { node, update } = rows.get(keyOf(item));
    update(item);
    if (list.children[place] !== node) list.insertBefore(node, list.children[place] ?? null);
  });
}
