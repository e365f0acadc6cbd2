import { ServiceError } from '../../proto/wire/errors.ts';

/** A bundle, or one file of it, that does not hold what its family needs: invalid-argument INVALID_BUNDLE naming the file. */
export function invalidBundle(file: string, problem: string, cause?: unknown): ServiceError {
  return new ServiceError('invalid-argument', 'INVALID_BUNDLE', `${file}: ${problem}`, { metadata: { file }, cause });
}

/** A sound file of a kind that is not implemented: invalid-argument UNSUPPORTED_MODEL naming the file. */
export function unsupportedModel(file: string, problem: string): ServiceError {
  return new ServiceError('invalid-argument', 'UNSUPPORTED_MODEL', `${file}: ${problem}`, { metadata: { file } });
}

/** Text from a bundle, made safe to print: quoted, without control characters, cut to a readable length. */
export function quote(text: string, maxCharacters = 120): string {
  const cut = text.length > maxCharacters ? `${text.slice(0, maxCharacters)}...` : text;
  return JSON.stringify(cut).replace(/[\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, '?');
}

/** The first few of many names, for an error that has to stay readable. */
export function listSome(names: readonly string[], most = 12): string {
  const shown = names.slice(0, most).join(', ');
  return names.length > most ? `${shown} and ${names.length - most} more` : shown;
}
