import { nameOf } from './error-names.ts';

/**
 * The last words of the SDK's chain of providers when none gave credentials. Of the providers before them, such as an instance's or a
 * container's endpoint that did not answer, it says nothing; the second is its last try at a container's endpoint.
 */
const NONE_FOUND = [
  /^Could not load credentials from any providers$/,
  /^\S+ is not a valid container metadata service hostname$/,
];

/**
 * Whether the credentials cannot be renewed for now. `hadCredentials` is the client's mark that its requests were answered before: what
 * gave credentials then was configured, and nothing that is configured is lost while a process runs. Without the mark there may be
 * none at all. A provider that says by itself why it failed, such as that a sign-in has expired, is believed.
 */
export function isCredentialOutage(error: unknown): boolean {
  return (
    error instanceof Error &&
    nameOf(error) === 'CredentialsProviderError' &&
    'hadCredentials' in error &&
    NONE_FOUND.some((words) => words.test(error.message))
  );
}
