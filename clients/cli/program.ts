import { Command, CommanderError } from 'commander';
import { projectVersion } from '../../infra/process/version.ts';
import type { Cli } from './cli.ts';
import { addCheck } from './commands/check.ts';
import { addDelete } from './commands/delete.ts';
import { addDeprecate } from './commands/deprecate.ts';
import { addGc } from './commands/gc.ts';
import { addHistory } from './commands/history.ts';
import { addImport } from './commands/import.ts';
import { addModels } from './commands/models.ts';
import { addPredict } from './commands/predict.ts';
import { addPrefetch } from './commands/prefetch.ts';
import { addPromote } from './commands/promote.ts';
import { addPublish } from './commands/publish.ts';
import { addRollback } from './commands/rollback.ts';
import { addRollout } from './commands/rollout.ts';
import { addServe } from './commands/serve.ts';
import { addSetup } from './commands/setup.ts';
import { addStatus } from './commands/status.ts';
import { addVerify } from './commands/verify.ts';
import { addVersions } from './commands/versions.ts';
import { EXIT, type ExitCode, exitCodeOf } from './exit-codes.ts';
import { reportError } from './report-error.ts';

const EXIT_CODES_HELP = `
Exit codes:
  ${EXIT.ok}    done
  ${EXIT.failed}    the operation failed, some images did (listed at the end), or a server refused what --wait waits for
  ${EXIT.usage}    the command line or the settings are wrong; nothing was done
  ${EXIT.unavailable}    the server cannot be reached, is not ready (in time, for --wait) or is overloaded: try again later
  ${EXIT.conflict}    someone else moved the alias first, or again while --wait waited
  ${EXIT.interrupted}  interrupted`;

/** Runs one command line (without the program's own name) and gives its exit code. Never throws. */
export async function runCli(args: readonly string[], io: Omit<Cli, 'setExitCode'>): Promise<ExitCode> {
  let exitCode: ExitCode = EXIT.ok;
  const cli: Cli = { ...io, setExitCode: (code) => (exitCode = code) };
  // Commander writes without waiting; what it has to say is written below.
  const help = { out: '', err: '' };
  try {
    await createProgram(cli, help).parseAsync(args, { from: 'user' });
  } catch (error) {
    exitCode = exitCodeOf(error);
    if (exitCode !== EXIT.ok && !isHelp(error)) {
      await reportError(error, args.includes('--json'), io.err);
    }
  }
  await io.out.write(help.out);
  await io.err.write(help.err);
  return exitCode;
}

/** Help shown because no command was named: it says enough. */
function isHelp(error: unknown): boolean {
  return error instanceof CommanderError && error.code === 'commander.help';
}

function createProgram(cli: Cli, help: { out: string; err: string }): Command {
  const program = new Command('maskterial')
    .description('stores, versions, delivers and runs the MaskTerial models for flakes of 2D materials')
    .version(projectVersion())
    .addHelpText('after', EXIT_CODES_HELP)
    .configureOutput({
      writeOut: (text) => (help.out += text),
      writeErr: (text) => (help.err += text),
      // Reported by runCli, in one way with all other errors.
      outputError: () => undefined,
    })
    .exitOverride();
  addServe(program, cli);
  addSetup(program, cli);
  addImport(program, cli);
  addCheck(program, cli);
  addPublish(program, cli);
  addPrefetch(program, cli);
  addPromote(program, cli);
  addRollback(program, cli);
  addDeprecate(program, cli);
  addDelete(program, cli);
  addGc(program, cli);
  addVerify(program, cli);
  addModels(program, cli);
  addVersions(program, cli);
  addHistory(program, cli);
  addStatus(program, cli);
  addRollout(program, cli);
  addPredict(program, cli);
  return program;
}
