// The dialog about the user's own account: profile, logins, password.

import { attempt } from "./attempt.js";
import { confirmed, openDialog } from "./dialogs.js";
import { button, field, input, make, setText } from "./dom.js";

/**
 * Opens it. `renamed(user)` is called when the profile was changed, `leave(told)` when the user logs out, with whether
 * the service could be told.
 */
export function openAccount({ account, renamed, leave }) {
  const { authService, userService } = account.client;
  openDialog(
    account.user.displayName || account.user.username,
    profile(account.user, userService, renamed),
    logins(authService),
    password(authService),
    make(
      "section",
      "sheet",
      make(
        "div",
        "actions",
        button("Log out", "", () => void logOut(account, leave)),
      ),
    ),
  );
}

async function logOut(account, leave) {
  leave(
    await account.logOut().then(
      () => true,
      () => false,
    ),
  );
}

/** A form of a dialog: `work()` is done when it is submitted, and `done` said then. */
function sheet(title, label, done, work, ...content) {
  const [error, note] = [make("p", "error"), make("p", "note")];
  error.role = "alert";
  note.role = "status";
  const form = make(
    "form",
    "sheet",
    make("h3", "", title),
    ...content,
    error,
    note,
    make("div", "actions", make("button", "", label)),
  );
  form.noValidate = true;
  form.onsubmit = async (event) => {
    event.preventDefault();
    setText(note, "");
    if (await attempt(error, work, form)) setText(note, done);
  };
  return form;
}

function profile(user, userService, renamed) {
  const name = input("displayName", { maxLength: 128, value: user.displayName ?? "" });
  const about = input("about", { rows: 2, maxLength: 2000, value: user.about ?? "" });
  const save = async () => {
    const changed = { displayName: name.value.trim(), about: about.value.trim() };
    renamed((await userService.updateMe(changed)).user);
  };
  const hint = `Others see it instead of your user name, ${user.username}.`;
  return sheet("Profile", "Save", "Saved.", save, field("Name", name, hint), field("About you", about));
}

function password(authService) {
  const old = input("oldPassword", { type: "password", autocomplete: "current-password", maxLength: 256 });
  const fresh = input("newPassword", { type: "password", autocomplete: "new-password", maxLength: 256 });
  const change = async () => {
    await authService.changePassword({ oldPassword: old.value, newPassword: fresh.value });
    old.value = fresh.value = "";
  };
  const done = "Your password is changed. All other logins have ended.";
  return sheet(
    "Password",
    "Change password",
    done,
    change,
    field("Present password", old),
    field("New password", fresh),
  );
}

function logins(authService) {
  const [list, error] = [make("ul", "logins"), make("p", "error")];
  error.role = "alert";
  const show = async () => {
    const { logins: known = [] } = await authService.listLogins();
    list.replaceChildren(...known.map((login) => item(login, () => void revoke(login))));
  };
  const revoke = async (login) => {
    const question = `End the login “${login.device || "Unnamed device"}”? The device notices within a quarter of an hour.`;
    if (!(await confirmed(question, "End login"))) return;
    await attempt(error, async () => {
      await authService.revokeLogin({ loginId: login.id });
      await show();
    });
  };
  void attempt(error, show);
  return make("section", "sheet", make("h3", "", "Logins"), list, error);
}

function item(login, revoke) {
  const name = make("span", "name", login.device || "Unnamed device");
  const used = make("span", "quiet", login.current ? "This device" : `Last used ${day(login.usedAt)}`);
  const end = button("End", "plain", revoke);
  end.ariaLabel = `End the login ${login.device || "Unnamed device"}`;
  return make("li", "", make("span", "lines", name, used), ...(login.current ? [] : [end]));
}

function day(time) {
  return new Date(time).toLocaleString([], { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
}
