/** How the page looks and in which language it speaks; both are kept by cookies, so that the server writes it so. */

import { get, patch, RequestError } from "./http.js";

const PREFERENCES_URL = "/api/v1/preferences";
const YEAR_S = 31_536_000;

/** Make the choices of the account menu work. parts: theme, language (each a <select>). */
export function chooseLook({ theme, language }) {
  theme.value = document.documentElement.dataset.theme ?? "";
  theme.addEventListener("change", () => {
    const secure = location.protocol === "https:" ? "; secure" : "";
    document.cookie = `theme=${theme.value}; path=/; max-age=${theme.value ? YEAR_S : 0}; samesite=lax${secure}`;
    if (theme.value) document.documentElement.dataset.theme = theme.value;
    else delete document.documentElement.dataset.theme;
  });
  language.addEventListener("change", async () => {
    // The agent, too, should know; a workspace that is asleep is no reason to wait.
    keep(language.value);
    language.form.requestSubmit();
  });
}

async function keep(language) {
  try {
    await patch(PREFERENCES_URL, { language });
  } catch (error) {
    if (!(error instanceof RequestError)) throw error; // the page's own cookie stands
  }
}

/** The language that the agent was told to speak, for a browser in which none was chosen yet. */
export class PreferredLanguage {
  #asked;

  /** `chosen`: one was; `idle()`: whether the page can be loaded anew without disturbing anybody. */
  constructor({ chosen, idle }) {
    this.#asked = chosen;
    this.idle = idle;
  }

  /** The workspace, which keeps it, is up. Its answer brings the cookie by which the next page is written. */
  async awake() {
    if (this.#asked) return;
    this.#asked = true;
    try {
      const { language } = await get(PREFERENCES_URL);
      const option = document.querySelector(`#language option[value="${CSS.escape((language ?? "").split("-")[0])}"]`);
      if (option && !option.selected && this.idle()) location.reload();
    } catch (error) {
      if (!(error instanceof RequestError)) throw error; // the next page asks again
    }
  }
}
