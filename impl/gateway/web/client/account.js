// Who is logged in: tokens, shared by all tabs of a browser.

import { RpcError, createClient } from "../gen/im.js";

import { LoginEnded } from "./errors.js";
import { deviceStorage } from "./storage.js";

const LOGIN = "idiom.login";
const LOCK = "idiom.login";

/** The part of its life after which an access token is exchanged. */
const RENEWAL = 0.8;

const LOGOUT_MS = 5000;

/**
 * The login of this browser, kept until it ends. Tells of the end by the event "ended", which has an `error`.
 *
 * A refresh token can be used once. Tabs exchange it under one lock; but what one of them has stored reaches the others
 * a little later, and answers may be lost. So all exchanges of a login have one id: whoever asks again asks the same, and
 * is given the same token.
 */
export class Account extends EventTarget {
  #storage;
  #locks;
  #lastUserId;

  /** Calls of the whole API for whoever is logged in. Tokens are exchanged as needed. */
  client;

  constructor({ baseUrl = "", storage = deviceStorage(), locks = globalThis.navigator?.locks, fetch } = {}) {
    super();
    this.#storage = storage;
    this.#locks = locks ?? new OneByOne();
    this.#lastUserId = this.userId;
    const authenticate = (token) => this.renew(token);
    this.client = createClient({ baseUrl, fetch, token: () => this.token(), authenticate });
    globalThis.addEventListener?.("storage", ({ key }) => (key === LOGIN || key === null) && this.#changedElsewhere());
  }

  /** The user; null if nobody is logged in. */
  get user() {
    return this.#login?.user ?? null;
  }

  /** Id of the user; "" if nobody is logged in. */
  get userId() {
    return this.user?.id ?? "";
  }

  /** Creates a user and logs them in; `{ username, password, device }`. Rejects with an RpcError. */
  async register(request) {
    this.#enter(await this.client.authService.register(request));
  }

  /** Logs a user in; `{ username, password, device }`. Rejects with an RpcError. */
  async logIn(request) {
    this.#enter(await this.client.authService.login(request));
  }

  /** Ends the login: here in any case; rejects with an RpcError if the service could not be told. */
  async logOut() {
    try {
      await this.client.authService.logout({}, { timeoutMs: LOGOUT_MS });
    } finally {
      this.#end(new LoginEnded());
    }
  }

  /** The access token, exchanged before it expires; null if nobody is logged in. */
  async token() {
    const login = this.#login;
    if (!login || login.renewAt === null || Date.now() < login.renewAt) return login?.accessToken ?? null;
    await this.renew(login.accessToken).catch(ignorePassing);
    return this.#login?.accessToken ?? null;
  }

  /**
   * Exchanges an access token that was refused or is about to expire. Resolves to whether there is another one now;
   * rejects with an RpcError if that cannot be known now.
   */
  renew(accessToken) {
    return this.#locks.request(LOCK, () => this.#renew(accessToken));
  }

  /** Notes what the user is called now. */
  rename(user) {
    const login = this.#login;
    if (login) this.#write({ ...login, user });
  }

  async #renew(refused) {
    const login = this.#login;
    if (!login) return false;
    if (login.accessToken !== refused) return true;
    const { refreshToken, requestId: clientRequestId } = login;
    try {
      const answer = await this.client.authService.refresh({ refreshToken, clientRequestId });
      this.#write({ ...login, ...tokensOf(answer) });
      return true;
    } catch (error) {
      if (!(error instanceof RpcError) || error.code !== "UNAUTHENTICATED") throw error;
      this.#end(new LoginEnded(error.reason));
      return false;
    }
  }

  #enter(answer) {
    this.#lastUserId = answer.user.id;
    this.#write({ user: answer.user, requestId: randomId(), ...tokensOf(answer) });
  }

  /** Another tab has logged in or out. That it has new tokens of the same user is no news. */
  #changedElsewhere() {
    if (this.userId === this.#lastUserId) return;
    this.#lastUserId = this.userId;
    this.#tell(new LoginEnded());
  }

  #end(error) {
    this.#lastUserId = "";
    this.#storage.removeItem(LOGIN);
    this.#tell(error);
  }

  #tell(error) {
    this.dispatchEvent(Object.assign(new Event("ended"), { error }));
  }

  get #login() {
    try {
      return JSON.parse(this.#storage.getItem(LOGIN));
    } catch {
      return null;
    }
  }

  #write(login) {
    this.#storage.setItem(LOGIN, JSON.stringify(login));
  }
}

/** What is kept of an answer with tokens. Clocks may differ: only a plausible life is believed. */
function tokensOf({ accessToken, refreshToken, expiresAt }) {
  const life = Date.parse(expiresAt) - Date.now();
  const renewAt = life > 0 ? Date.now() + life * RENEWAL : null;
  return { accessToken, refreshToken, renewAt };
}

/** As unique as a UUID; `crypto.randomUUID` is missing where the page is not served securely. */
export function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The old token may do for a while yet. */
function ignorePassing(error) {
  if (!(error instanceof RpcError)) throw error;
}

/** Takes the place of Web Locks where the page is not served securely: one at a time, in this tab. */
class OneByOne {
  #last = Promise.resolve();

  request(_name, work) {
    const done = this.#last.then(work);
    this.#last = done.catch(() => undefined);
    return done;
  }
}
