/** The page's words in its language: the scripts hold the English ones, the page brings their translations. */

const place = document.getElementById("words");
// English: translation, or the translations of "one" and of "other" for what is counted.
const words = place ? JSON.parse(place.textContent) : {};
const lang = document.documentElement.lang || "en";
const plural = new Intl.PluralRules(lang);

/** For dates and numbers. English pages write "26 Nov 2026". */
export const locale = lang === "en" ? "en-GB" : lang;

/** `text` in the page's language; `{name}` in it is the value of that name. */
export function t(text, values = {}) {
  return fill(words[text] ?? text, values);
}

/** Likewise of what is counted: "{count} message", "{count} messages". */
export function counted(one, many, count, values = {}) {
  const [single, several] = words[one] ?? [one, many];
  const text = plural.select(count) === "one" ? single : several;
  return fill(text, { count: count.toLocaleString(locale), ...values });
}

/** A number with so many digits after the comma, as the page's language writes it. */
export function decimal(value, digits) {
  return value.toLocaleString(locale, { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}
