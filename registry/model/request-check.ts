import { asDigest, type BlobRef, type Digest } from '../../proto/wire/digest.ts';
import { type FieldViolation, invalid, ServiceError } from '../../proto/wire/errors.ts';
import {
  type AliasName,
  asAliasName,
  asModelName,
  isReservedAlias,
  MAX_VERSION,
  type ModelName,
  modelNameViolation,
} from '../../proto/wire/names.ts';
import { type Labels, labelViolations } from './labels.ts';

const MAX_PAGE_SIZE = 1000;
const DEFAULT_PAGE_SIZE = 100;

/** A blob reference as a request carries it. */
export interface UncheckedBlobRef {
  readonly digest: string;
  readonly sizeBytes: number;
}

/**
 * Reads a request's fields and collects everything that is wrong with them, under the contract's field names. A reader gives
 * undefined for a field that is wrong; the caller then throws `error()`, which lists all.
 */
export class RequestCheck {
  readonly #violations: FieldViolation[] = [];
  #isOnlyReserved = true;

  get isBad(): boolean {
    return this.#violations.length > 0;
  }

  violation(field: string, description: string): undefined {
    this.#violations.push({ field, description });
    this.#isOnlyReserved = false;
    return undefined;
  }

  modelName(text: string, field: string): ModelName | undefined {
    return asModelName(text) ?? this.violation(field, modelNameViolation(text, field).description);
  }

  /** An alias to be set; one that is reserved has an error reason of its own. */
  newAliasName(text: string, field: string): AliasName | undefined {
    if (isReservedAlias(text)) {
      this.#violations.push({ field, description: `"${text}" is reserved: it would look like a version` });
      return undefined;
    }
    return this.aliasName(text, field);
  }

  /** An alias that may exist; `latest` and `v<number>` never do. */
  aliasName(text: string, field: string): AliasName | undefined {
    return (
      asAliasName(text) ?? this.violation(field, `expected an alias ([a-z0-9][a-z0-9._-]{0,63}), found "${text.slice(0, 80)}"`)
    );
  }

  version(value: number, field: string): number | undefined {
    return Number.isInteger(value) && value >= 1 && value <= MAX_VERSION
      ? value
      : this.violation(field, `expected a version from 1 on, found ${value}`);
  }

  blob(ref: UncheckedBlobRef | undefined, field: string): BlobRef | undefined {
    if (ref === undefined) {
      return this.violation(field, 'expected a digest with its size');
    }
    const digest = this.digest(ref.digest, `${field}.digest`);
    const sizeBytes = this.bytes(ref.sizeBytes, `${field}.size_bytes`);
    return digest === undefined || sizeBytes === undefined ? undefined : { digest, sizeBytes };
  }

  digest(text: string, field: string): Digest | undefined {
    return (
      asDigest(text) ?? this.violation(field, `expected "sha256:" and 64 lower-case hex digits, found "${text.slice(0, 80)}"`)
    );
  }

  bytes(value: number, field: string): number | undefined {
    return Number.isSafeInteger(value) && value >= 0
      ? value
      : this.violation(field, `expected a number of bytes, found ${value}`);
  }

  /** A time as a request's Timestamp gives it. */
  timeMs(value: number, field: string): number | undefined {
    return Number.isSafeInteger(value) ? value : this.violation(field, 'expected a time');
  }

  labels(labels: Labels, field: string): Labels {
    for (const { field: at, description } of labelViolations(labels, field)) {
      this.violation(at, description);
    }
    return labels;
  }

  text(text: string, field: string, maxLength: number): string {
    if (text.length > maxLength) {
      this.violation(field, `${text.length} characters, at most ${maxLength}`);
    }
    // Databases end a text there: what is read back would not be what was written.
    if (text.includes('\0')) {
      this.violation(field, 'the character U+0000 is not allowed');
    }
    return text;
  }

  pageSize(value: number, field: string): number {
    if (value > MAX_PAGE_SIZE) {
      this.violation(field, `${value}, at most ${MAX_PAGE_SIZE}`);
    }
    return value === 0 ? DEFAULT_PAGE_SIZE : value;
  }

  /** RESERVED_ALIAS when that is all that is wrong, else INVALID_REQUEST. */
  error(): ServiceError {
    if (this.#isOnlyReserved && this.isBad) {
      const message = this.#violations.map(({ field, description }) => `${field}: ${description}`).join('; ');
      return new ServiceError('invalid-argument', 'RESERVED_ALIAS', message, { violations: this.#violations });
    }
    return invalid(this.#violations);
  }

  /** @throws ServiceError when anything was wrong. */
  throwIfBad(): void {
    if (this.isBad) {
      throw this.error();
    }
  }
}
