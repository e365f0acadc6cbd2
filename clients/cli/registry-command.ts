import type { Command } from 'commander';
import { createRegistryClient, type RegistryClient } from '../registry-client.ts';
import type { Cli } from './cli.ts';
import { registryOption, timeoutOption, usedAddress } from './options.ts';

export interface RegistryOptions {
  readonly registry: string;
  readonly timeout: number;
}

/** Adds the options that every command with a registry has. */
export function withRegistry(command: Command, cli: Cli, timeoutSeconds = 30): Command {
  return command.addOption(registryOption(cli.env)).addOption(timeoutOption(timeoutSeconds));
}

/** Runs `body` with a connection and closes it. */
export async function useRegistry<R>(
  cli: Cli,
  options: RegistryOptions,
  body: (registry: RegistryClient) => Promise<R>,
): Promise<R> {
  const registry = createRegistryClient(
    { address: usedAddress('registry', options.registry), timeoutMs: options.timeout * 1000 },
    cli.retryDeps,
  );
  try {
    return await body(registry);
  } finally {
    registry.close();
  }
}

/** One object a line. */
export async function writeJson(cli: Cli, value: Readonly<Record<string, unknown>>): Promise<void> {
  await cli.out.write(`${JSON.stringify(value)}\n`);
}
