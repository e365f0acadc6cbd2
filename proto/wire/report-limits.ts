/** What one report of an inference server may hold: senders cut theirs to it, the registry refuses more. */

/** Versions, aliases and names of served models, each. A server that keeps a thousand models loaded has no memory left. */
export const MAX_REPORT_ENTRIES = 1000;
/** Characters of a server's name and of a pattern of model names. */
export const MAX_REPORT_NAME_LENGTH = 255;
/** Characters of a failure's message: for people to see why. The server's own status and log have all of it. */
export const MAX_FAILURE_MESSAGE_LENGTH = 1000;
