// Names of users, learnt as they are met.

import { RpcError } from "/client/index.js";

const MOST_KNOWN = 5000;
const PARALLEL = 4;
const RETRY_MS = 10_000;

/** Users by id. */
export class People {
  #users;
  #changed;
  #known = new Map();
  #asked = new Set();
  #queue = [];
  #asking = 0;
  #stopped = false;

  /** `users` is the generated UserService; `changed` is called when a name has become known. */
  constructor(users, changed) {
    this.#users = users;
    this.#changed = changed;
  }

  stop() {
    this.#stopped = true;
  }

  /** Notes who somebody is. Members have a `userId`, users an `id`. */
  remember(user) {
    const { id = user.userId, username, displayName = "" } = user;
    if (!id || !username) return;
    const before = this.#known.get(id);
    this.#known.delete(id);
    this.#known.set(id, { id, username, displayName, about: user.about ?? before?.about ?? "" });
    if (this.#known.size > MOST_KNOWN) this.#known.delete(this.#known.keys().next().value);
    if (before?.username !== username || before.displayName !== displayName) this.#changed();
  }

  /** What somebody wants to be called, or their user name; until it is known, something in its place. */
  nameOf(id) {
    const user = this.of(id);
    return user ? user.displayName || user.username : "…";
  }

  /** The user of an id; null until they are known, which is asked for. */
  of(id) {
    const user = this.#known.get(id) ?? null;
    if (!user && id && !this.#asked.has(id)) this.#ask(id);
    return user;
  }

  #ask(id) {
    this.#asked.add(id);
    this.#queue.push(id);
    if (this.#asking < PARALLEL) void this.#work();
  }

  async #work() {
    this.#asking += 1;
    for (let id; !this.#stopped && (id = this.#queue.shift());) if (!this.#known.has(id)) await this.#learn(id);
    this.#asking -= 1;
  }

  async #learn(id) {
    try {
      const { user } = await this.#users.getUser({ userId: id });
      this.remember(user);
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      if (error.transient) setTimeout(() => this.#asked.delete(id), RETRY_MS);
      else this.remember({ id, username: "Somebody" });
    }
  }
}
