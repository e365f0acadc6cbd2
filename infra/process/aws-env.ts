import type { EnvReader } from './env.ts';

/** The region of the original deployment's bucket. */
const DEFAULT_REGION = 'us-east-1';

/** AWS_REGION, else AWS_DEFAULT_REGION, else us-east-1. */
export function readAwsRegion(reader: EnvReader): string {
  const [name, region] = (['AWS_REGION', 'AWS_DEFAULT_REGION'] as const)
    .map((variable) => [variable, reader.text(variable, undefined)] as const)
    .find(([, value]) => value !== undefined) ?? ['', undefined];
  if (region !== undefined && !/^[a-z0-9-]{1,64}$/.test(region)) {
    reader.problem(`${name}: expected a region such as ${DEFAULT_REGION}, found "${region}"`);
  }
  return region ?? DEFAULT_REGION;
}

/** AWS_ENDPOINT_URL_<service>, else AWS_ENDPOINT_URL: a server that stands in for AWS's. */
export function readAwsEndpoint(reader: EnvReader, service: 'S3' | 'DYNAMODB'): string | undefined {
  const names = [`AWS_ENDPOINT_URL_${service}`, 'AWS_ENDPOINT_URL'];
  const name = names.find((candidate) => reader.text(candidate, undefined) !== undefined);
  const endpoint = name === undefined ? undefined : reader.text(name, undefined);
  if (endpoint !== undefined && !/^https?:\/\/[^/?#\s]+\/?$/.test(endpoint)) {
    reader.problem(`${name}: expected http(s)://host:port, found "${endpoint}"`);
  }
  return endpoint;
}
