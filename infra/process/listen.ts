import { isIP } from 'node:net';
import type { EnvReader } from './env.ts';

export interface ListenSettings {
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
}

/**
 * Reads `<prefix>_HOST` (default 127.0.0.1) and `<prefix>_PORT`. An address that other machines can reach is a problem unless
 * `MASKTERIAL_INSECURE` says that its owner knows: there is no TLS yet.
 */
export function readListenSettings(reader: EnvReader, prefix: string, defaultPort: number): ListenSettings {
  const host = reader.text(`${prefix}_HOST`, '127.0.0.1');
  const port = reader.integer(`${prefix}_PORT`, defaultPort, 0, 65_535);
  const isAllowed = reader.flag('MASKTERIAL_INSECURE', false);
  if (!isLoopback(host) && !isAllowed) {
    reader.problem(
      `${prefix}_HOST: "${host}" can be reached from other machines without TLS; set MASKTERIAL_INSECURE=1 (--insecure) to allow it`,
    );
  }
  return { host: isIP(host) === 6 ? `[${host}]` : host, port };
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}
