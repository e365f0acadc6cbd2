import { CommanderError } from 'commander';
import { ConfigError } from '../../infra/process/env.ts';
import { isServiceError, type ServiceError } from '../../proto/wire/errors.ts';
import type { TextOutput } from './text-output.ts';

/** One line, no stack: what failed, with its values, and the reason that scripts can match. */
export async function reportError(error: unknown, isJson: boolean, err: TextOutput): Promise<void> {
  await err.write(`${isJson ? JSON.stringify({ error: errorJson(error) }) : `maskterial: ${errorLine(error)}`}\n`);
}

/** The message and, where the error has one, its reason in brackets. */
export function errorLine(error: unknown): string {
  if (error instanceof CommanderError) {
    return `error: ${messageOf(error)} (see maskterial --help)`;
  }
  return `error: ${messageOf(error)}${isServiceError(error) ? ` [${error.reason}]` : ''}`;
}

export function messageOf(error: unknown): string {
  if (error instanceof ConfigError) {
    return `invalid configuration: ${error.problems.map(oneLine).join('; ')}`;
  }
  const text = oneLine(error instanceof Error ? error.message : String(error));
  return error instanceof CommanderError ? text.replace(/^error: /, '') : text;
}

/** For scripts; `kind` and `reason` are stable, messages are not. */
export function errorJson(error: unknown): Record<string, unknown> {
  if (isServiceError(error)) {
    return serviceErrorJson(error);
  }
  const isUsage = error instanceof CommanderError || error instanceof ConfigError;
  return { kind: isUsage ? 'usage' : 'internal', reason: isUsage ? 'USAGE' : 'INTERNAL', message: messageOf(error) };
}

function serviceErrorJson(error: ServiceError): Record<string, unknown> {
  const { kind, reason, message, metadata, violations, retryDelayMs } = error;
  return {
    kind: reason === 'USAGE' ? 'usage' : kind,
    reason,
    message: oneLine(message),
    ...(Object.keys(metadata).length > 0 ? { metadata } : {}),
    ...(violations.length > 0 ? { violations } : {}),
    ...(retryDelayMs === undefined ? {} : { retry_delay_ms: retryDelayMs }),
  };
}

/** Control characters of a hostile file name or message must not steer the terminal. */
function oneLine(text: string): string {
  return text.replaceAll(/\s*[\r\n]+\s*/g, '; ').replaceAll(/\p{Cc}/gu, '?');
}
