import type { Fault, SeenRequest } from './fault-proxy.ts';

/** One way to fail, and which requests can fail so. */
export interface FaultKind {
  readonly name: string;
  readonly fault: Fault;
  readonly concerns: (seen: SeenRequest) => boolean;
}

const any = (): boolean => true;

function dynamoAnswer(status: number, type: string, more = ''): Fault {
  return { kind: 'answer', status, body: `{"__type":"com.amazonaws.dynamodb.v20120810#${type}"${more}}` };
}

function s3Answer(status: number, code: string): Fault {
  return { kind: 'answer', status, body: `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code></Error>` };
}

export const DYNAMO_FAULTS: readonly FaultKind[] = [
  { name: 'a throttled table', fault: dynamoAnswer(400, 'ProvisionedThroughputExceededException'), concerns: any },
  { name: 'throttled requests', fault: dynamoAnswer(400, 'ThrottlingException'), concerns: any },
  { name: '500', fault: dynamoAnswer(500, 'InternalServerError'), concerns: any },
  { name: '503 of something in between', fault: { kind: 'answer', status: 503, body: '<html>busy</html>' }, concerns: any },
  {
    name: 'transactions in conflict',
    fault: dynamoAnswer(400, 'TransactionCanceledException', ',"CancellationReasons":[{"Code":"TransactionConflict"}]'),
    concerns: ({ target }) => target.endsWith('.TransactWriteItems'),
  },
  { name: 'resets', fault: { kind: 'reset' }, concerns: any },
  { name: 'lost answers', fault: { kind: 'lost-answer' }, concerns: any },
  { name: 'truncated answers', fault: { kind: 'cut', afterBytes: 1 }, concerns: any },
  { name: 'answers that stand still', fault: { kind: 'stall', afterBytes: 1 }, concerns: any },
  { name: 'requests without an answer', fault: { kind: 'silence' }, concerns: any },
];

export const S3_FAULTS: readonly FaultKind[] = [
  { name: 'throttling', fault: s3Answer(503, 'SlowDown'), concerns: any },
  { name: '500', fault: s3Answer(500, 'InternalError'), concerns: any },
  { name: '502 of something in between', fault: { kind: 'answer', status: 502, body: 'no XML' }, concerns: any },
  {
    name: 'failures under 200',
    fault: s3Answer(200, 'InternalError'),
    concerns: ({ method, url, isCopy }) => isCopy || (method === 'POST' && url.includes('uploadId=')),
  },
  { name: 'resets', fault: { kind: 'reset' }, concerns: any },
  { name: 'lost answers', fault: { kind: 'lost-answer' }, concerns: any },
  { name: 'truncated bodies', fault: { kind: 'cut', afterBytes: 1000 }, concerns: any },
  { name: 'bodies that stand still', fault: { kind: 'stall', afterBytes: 1000 }, concerns: any },
  { name: 'requests without an answer', fault: { kind: 'silence' }, concerns: any },
];

/** Whether it is over only once somebody gives up. */
export function standsStill({ fault }: FaultKind): boolean {
  return fault.kind === 'stall' || fault.kind === 'silence';
}

/** Every `every`-th request that a kind concerns fails so; those between are let through. */
export function failingEvery(
  every: number,
  { fault, concerns }: FaultKind,
): {
  readonly choose: (seen: SeenRequest) => Fault | undefined;
  readonly count: () => number;
} {
  let [asked, count] = [0, 0];
  const choose = (seen: SeenRequest): Fault | undefined => {
    if (!concerns(seen) || asked++ % every !== 0) {
      return undefined;
    }
    count++;
    return fault;
  };
  return { choose, count: () => count };
}
