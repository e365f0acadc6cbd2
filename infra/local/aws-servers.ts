import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type LocalServer, startLocalServer } from './local-server.ts';
import { ToolMissingError, type ToolPlace, TOOLS } from './tools.ts';

/** What stands in for AWS on this machine, as the settings that the services read. */
export interface LocalAws {
  readonly env: Readonly<Record<string, string>>;
  /** Ends both servers and removes their data. Idempotent. */
  stop(): Promise<void>;
}

/** There is nothing to protect: made-up data, in servers of this machine. DynamoDB Local takes any, from any address; versitygw these, from this machine. */
const CREDENTIALS = { AWS_ACCESS_KEY_ID: 'local', AWS_SECRET_ACCESS_KEY: 'local-secret' };

/** The programs needed, by their names among the tools. */
export const AWS_TOOLS = ['dynamodb-local', 'versitygw'] as const;

/** Starts DynamoDB Local and an S3-compatible server. @throws ToolMissingError where they are not installed. */
export async function startLocalAws(place: ToolPlace): Promise<LocalAws> {
  const dynamo = await startDynamo(place);
  let s3: LocalServer;
  try {
    s3 = await startS3(place);
  } catch (error) {
    await dynamo.stop();
    throw error;
  }
  return {
    env: {
      ...CREDENTIALS,
      AWS_REGION: 'us-east-1',
      AWS_ENDPOINT_URL_DYNAMODB: `http://127.0.0.1:${dynamo.port}`,
      AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${s3.port}`,
    },
    stop: async () => {
      await Promise.all([dynamo.stop(), s3.stop()]);
    },
  };
}

function startDynamo(place: ToolPlace): Promise<LocalServer> {
  return startLocalServer({
    name: 'dynamodb-local',
    program: programOf('dynamodb-local', place),
    env: { ...place.env },
    // In memory: a disk's flush at every write would only make tests slow.
    args: async (port) => ['-inMemory', '-disableTelemetry', '-port', String(port)],
  });
}

function startS3(place: ToolPlace): Promise<LocalServer> {
  return startLocalServer({
    name: 'versitygw',
    program: programOf('versitygw', place),
    env: {
      ...place.env,
      ROOT_ACCESS_KEY_ID: CREDENTIALS.AWS_ACCESS_KEY_ID,
      ROOT_SECRET_ACCESS_KEY: CREDENTIALS.AWS_SECRET_ACCESS_KEY,
    },
    args: async (port, folder) => {
      const [data, versions] = ['data', 'versions'].map((name) => join(folder, name));
      for (const path of [data, versions]) {
        await mkdir(path ?? folder);
      }
      const where = ['--versioning-dir', versions ?? '', data ?? ''];
      return ['--port', `127.0.0.1:${port}`, '--quiet', '--keep-alive', 'posix', ...where];
    },
  });
}

function programOf(name: (typeof AWS_TOOLS)[number], place: ToolPlace): string {
  const path = TOOLS.find((tool) => tool.name === name)?.find(place);
  if (path === undefined) {
    throw new ToolMissingError(`${name} is not here: npm run tools`);
  }
  return path;
}
