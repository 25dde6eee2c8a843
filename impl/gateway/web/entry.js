// The form in which people log in.

import { attempt } from "./attempt.js";
import { element, setText } from "./dom.js";

/** Waits for somebody to log in, and calls `entered` then. `notice` says why they have to. */
export function enter({ account, device, notice, entered }) {
  setText(element("entry-error"), notice);
  element("username").focus();
  element("entry-form").onsubmit = async (event) => {
    event.preventDefault();
    const action = event.submitter?.value ?? "logIn";
    const credentials = { username: element("username").value.trim(), password: element("password").value };
    if (await attempt("entry-error", () => account[action]({ ...credentials, device }), element("entry-form"))) {
      element("password").value = "";
      entered();
    }
  };
}

const BROWSERS = [
  ["Edg", "Edge"],
  ["OPR", "Opera"],
  ["Firefox", "Firefox"],
  ["Chrome", "Chrome"],
  ["Safari", "Safari"],
];
const SYSTEMS = [
  ["Android", "Android"],
  ["iPhone", "iPhone"],
  ["iPad", "iPad"],
  ["Windows", "Windows"],
  ["Mac OS", "macOS"],
  ["CrOS", "ChromeOS"],
  ["Linux", "Linux"],
];

/** What to call a login in the list of logins: `Firefox on Linux`. */
export function deviceName(userAgent) {
  const found = (names) => names.find(([sign]) => userAgent.includes(sign))?.[1];
  return `${found(BROWSERS) ?? "Browser"} on ${found(SYSTEMS) ?? "an unknown system"}`;
}
