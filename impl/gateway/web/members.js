// The members of a room, and what the reader may do with them.

import { attempt } from "./attempt.js";
import { confirmed } from "./dialogs.js";
import { button, icon, input, make, paintAvatar, select } from "./dom.js";

const PAGE_SIZE = 100;
const ROLES = { ROLE_MEMBER: "Member", ROLE_ADMIN: "Administrator", ROLE_OWNER: "Owner" };

/** Whom somebody of a role may remove (docs/rooms.md). */
const REMOVES = { ROLE_OWNER: ["ROLE_ADMIN", "ROLE_MEMBER"], ROLE_ADMIN: ["ROLE_MEMBER"] };

/** The list of one room. */
export class Members {
  #messenger;
  #people;
  #conversation;
  #members = [];
  #next = "";
  #pages = 1;
  #loading = false;
  #stale = false;
  #error = Object.assign(make("p", "error"), { role: "alert" });
  #list = make("ul", "members");
  #more = button("Show more", "plain", () => void this.#loadMore());
  #adding = this.#addForm();

  element = make("section", "sheet", make("h3", "", "Members"), this.#adding, this.#error, this.#list, this.#more);

  constructor({ messenger, people, conversation }) {
    this.#messenger = messenger;
    this.#people = people;
    this.#conversation = conversation;
    void this.load();
  }

  /** Reads the members again, as many pages as are shown. */
  async load() {
    this.#stale = true;
    if (this.#loading) return;
    this.#loading = true;
    while (this.#stale) {
      this.#stale = false;
      await attempt(this.#error, () => this.#read());
    }
    this.#loading = false;
  }

  paint() {
    this.#adding.hidden = !(this.#role in REMOVES);
    this.#more.hidden = !this.#next;
    this.#list.replaceChildren(...this.#members.map((member) => this.#item(member)));
  }

  get #role() {
    return this.#conversation.room?.role;
  }

  get #rooms() {
    return this.#messenger.client.roomService;
  }

  async #read() {
    const { roomId } = this.#conversation;
    const found = [];
    let pageToken = "";
    for (let page = 0; page < this.#pages && (page === 0 || pageToken); page += 1) {
      const answer = await this.#rooms.listMembers({ roomId, pageSize: PAGE_SIZE, pageToken });
      found.push(...(answer.members ?? []));
      pageToken = answer.nextPageToken ?? "";
    }
    this.#members = found;
    this.#next = pageToken;
    for (const member of found) this.#people.remember(member);
    this.paint();
  }

  async #loadMore() {
    this.#pages += 1;
    await this.load();
  }

  #item(member) {
    const { userId, username, displayName, role } = member;
    const mine = userId === this.#messenger.userId;
    const name = displayName || username;
    const avatar = make("span", "avatar small");
    avatar.ariaHidden = "true";
    paintAvatar(avatar, name, userId);
    const title = make("span", "name", mine ? `${name} (you)` : name);
    const lines = make("span", "lines", title, make("span", "quiet", `@${username}`));
    const chooses = this.#role === "ROLE_OWNER" && !mine;
    const controls = [chooses ? this.#choice(member, name) : make("span", "role", ROLES[role] ?? "")];
    if (!mine && REMOVES[this.#role]?.includes(role)) controls.push(this.#removal(member, name));
    return make("li", "", avatar, lines, ...controls);
  }

  #choice(member, name) {
    const choice = select("role", Object.entries(ROLES), member.role);
    choice.ariaLabel = `Role of ${name}`;
    choice.onchange = () => void this.#change(member, name, choice.value);
    return choice;
  }

  async #change({ userId }, name, role) {
    const question = `Hand the room over to ${name}? You will be an administrator.`;
    if (role === "ROLE_OWNER" && !(await confirmed(question, "Hand over"))) return this.paint();
    const { roomId } = this.#conversation;
    const done = await attempt(this.#error, () => this.#rooms.updateMember({ roomId, userId, role }));
    return done ? this.load() : this.paint();
  }

  #removal({ userId }, name) {
    const remove = button("", "icon", async () => {
      if (!(await confirmed(`Remove ${name} from the room?`, "Remove"))) return;
      const { roomId } = this.#conversation;
      if (await attempt(this.#error, () => this.#rooms.removeMember({ roomId, userId }))) await this.load();
    });
    remove.ariaLabel = remove.title = `Remove ${name}`;
    remove.append(icon("close"));
    return remove;
  }

  #addForm() {
    const name = input("member", {
      placeholder: "User name",
      autocapitalize: "none",
      spellcheck: false,
      maxLength: 64,
    });
    name.ariaLabel = "Add a member: user name";
    const form = make("form", "beside", name, make("button", "", "Add"));
    form.noValidate = true;
    form.onsubmit = async (event) => {
      event.preventDefault();
      if (await attempt(this.#error, () => this.#add(name.value.trim()), form)) name.value = "";
    };
    return form;
  }

  async #add(username) {
    if (!username) return;
    const { user } = await this.#messenger.client.userService.lookupUser({ username });
    await this.#rooms.addMember({ roomId: this.#conversation.roomId, userId: user.id });
    await this.load();
  }
}
