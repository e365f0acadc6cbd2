import type { ExitCode } from '../../clients/cli/exit-codes.ts';
import { runCli } from '../../clients/cli/program.ts';
import { manualRetry } from './manual-retry.ts';
import { MemoryOutput } from './memory-output.ts';

export interface CommandResult {
  readonly code: ExitCode;
  readonly out: string;
  readonly err: string;
}

/** Runs one command line in this process, with waits that take no time. */
export async function runCommand(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  signal?: AbortSignal,
): Promise<CommandResult> {
  const out = new MemoryOutput();
  const err = new MemoryOutput();
  const interrupts = (): AbortSignal => signal ?? new AbortController().signal;
  const code = await runCli(args, { out, err, env, interrupts, now: () => 0, retryDeps: manualRetry() });
  return { code, out: out.text, err: err.text };
}
