// What goes wrong in the client itself. Refusals by the service are RpcErrors, with the schema's reasons.

/** An error with a typed `reason`, like RpcError. */
export class ClientError extends Error {
  constructor(reason, message) {
    super(message);
    this.name = new.target.name;
    this.reason = reason;
  }
}

/** As many messages wait to be sent as may: OVERLOADED. */
export class OutboxFull extends ClientError {
  constructor() {
    super("OVERLOADED", "Too many messages wait to be sent.");
  }
}

/**
 * Nobody is logged in any more. The reason is that of the refusal: REFRESH_TOKEN_INVALID, REFRESH_TOKEN_REUSED or
 * LOGGED_OUT, which may have happened in another tab.
 */
export class LoginEnded extends ClientError {
  constructor(reason = "LOGGED_OUT") {
    super(reason, "The login has ended.");
  }
}

/** The server has closed the session for good. The reason is the name of the close code. */
export class SessionRefused extends ClientError {
  constructor(reason, message = "The service has closed the session.") {
    super(reason, message);
  }
}
