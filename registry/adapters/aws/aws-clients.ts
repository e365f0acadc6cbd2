import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { S3Client } from '@aws-sdk/client-s3';
import type { AwsSettings } from './aws-settings.ts';

const CONNECT_TIMEOUT_MS = 3_000;
/** DynamoDB answers within milliseconds, or not at all; nor does an answer that stands still go on. */
const DYNAMO_IDLE_MS = 5_000;
/** A transfer that stands still for so long does not go on. */
const S3_IDLE_MS = 20_000;
/** Uploads and reads of many callers at once. */
const S3_SOCKETS = 200;

/** Both clients make one attempt: who calls them knows what may be repeated, and for how long. */
export function createDynamoClient(
  { region, dynamoEndpoint }: AwsSettings,
  { idleMs } = { idleMs: DYNAMO_IDLE_MS },
): DynamoDBClient {
  const client = new DynamoDBClient({
    region,
    maxAttempts: 1,
    ...(dynamoEndpoint !== undefined && { endpoint: dynamoEndpoint }),
    requestHandler: {
      connectionTimeout: CONNECT_TIMEOUT_MS,
      // The first ends with the answer's head, so the second is for its body.
      requestTimeout: idleMs,
      throwOnRequestTimeout: true,
      socketTimeout: idleMs,
    },
  });
  client.middlewareStack.add(noteFailures(), { step: 'initialize', name: 'noteFailures' });
  return client;
}

export function createS3Client({ region, s3Endpoint }: AwsSettings, { idleMs } = { idleMs: S3_IDLE_MS }): S3Client {
  const client = new S3Client({
    region,
    maxAttempts: 1,
    // Every byte read is verified against a digest of our own.
    responseChecksumValidation: 'WHEN_REQUIRED',
    ...(s3Endpoint !== undefined && { endpoint: s3Endpoint, forcePathStyle: true }),
    requestHandler: {
      connectionTimeout: CONNECT_TIMEOUT_MS,
      socketTimeout: idleMs,
      httpAgent: { keepAlive: true, maxSockets: S3_SOCKETS },
      httpsAgent: { keepAlive: true, maxSockets: S3_SOCKETS },
    },
  });
  client.middlewareStack.add(noteFailures(), { step: 'initialize', name: 'noteFailures' });
  return client;
}

/**
 * A failure says which request failed, so that a refusal of it can name the permission that is missing; and whether others were
 * answered before, so that credentials which are not there now are not taken for none at all.
 */
function noteFailures() {
  let wasAnswered = false;
  return <I, O>(next: (args: I) => Promise<O>, { commandName }: { readonly commandName?: string }): ((args: I) => Promise<O>) => {
    return async (args) => {
      try {
        const answer = await next(args);
        wasAnswered = true;
        return answer;
      } catch (error) {
        throw error instanceof Error
          ? Object.assign(error, { request: commandName, ...(wasAnswered && { hadCredentials: true }) })
          : error;
      }
    };
  };
}
