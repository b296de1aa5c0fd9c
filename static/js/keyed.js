/** Lists whose items stay the same elements while they are shown, so that focus and what is typed survive a change. */

/** Show `items` in `box` in their order, each made once by `make(item)` for its `key(item)`; the rest goes. */
export function showKeyed(box, items, { key, make }) {
  const known = new Map([...box.children].map((node) => [node.dataset.key, node]));
  const wanted = items.map((item) => {
    const node = known.get(key(item)) ?? make(item);
    node.dataset.key = key(item);
    return node;
  });
  for (const node of known.values()) if (!wanted.includes(node)) node.remove();
  for (const [place, node] of wanted.entries()) {
    if (box.children[place] !== node) box.insertBefore(node, box.children[place] ?? null);
  }
}
