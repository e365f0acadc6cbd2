/**
 * What a call or a wait of a test that has no other end may take: far longer than anything does on a machine that is slow and busy,
 * and within a file's own limit. It bounds what hangs, and measures nothing.
 */
export const HANG_MS = 600_000;
