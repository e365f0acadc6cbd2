/**
 * What a call, a wait or an engine of a test may take that has no other end: far longer than anything does on a machine that is slow
 * and busy, and within a file's own limit. It bounds what hangs, and measures nothing.
 */
export const HANG_MS = 300_000;
