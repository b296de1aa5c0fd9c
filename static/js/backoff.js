/** How long to wait before a connection is tried again. */

const FIRST_MS = 400;
const LONGEST_MS = 20_000;

/**
 * Milliseconds before try number `attempt` (from 1): doubling to 20 s, half of it random so that a thousand pages do
 * not come back in the same moment. `least` is the server's own wish.
 */
export function backoff(attempt, { least = 0, random = Math.random } = {}) {
  const ceiling = Math.max(least, Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(attempt - 1, 10)));
  return Math.max(least, ceiling / 2) + random() * (ceiling / 2);
}
