/** What the system said of a file, with its code: "no such file or directory (ENOENT)". The text of any other error. */
export function describeSystemError(error: unknown): string {
  if (!(error instanceof Error && 'code' in error && typeof error.code === 'string')) {
    return error instanceof Error ? error.message : String(error);
  }
  const { code, message } = error;
  // "ENOENT: no such file or directory, open '/the/path'": whoever reports it names the path.
  const words = message.startsWith(`${code}: `) ? message.slice(code.length + 2).split(',')[0] : undefined;
  return words === undefined ? code : `${words} (${code})`;
}
