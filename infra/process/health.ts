import type { Server } from '@grpc/grpc-js';
import { service as definition } from 'grpc-health-check';
import { abortError, ServiceError, throwIfAborted } from '../../proto/wire/errors.ts';
import type { CallContext, Handlers } from '../../proto/wire/handlers.ts';

export const HEALTH_SERVICE = 'grpc.health.v1.Health';

/** The messages as the library's definition of the service has them. */
interface HealthCheckRequest {
  readonly service: string;
}

interface HealthCheckResponse {
  readonly status: 'SERVING' | 'NOT_SERVING' | 'SERVICE_UNKNOWN';
}

/**
 * The standard health service, over the library's own definition of it. The library's implementation has no way to forget a name,
 * repeats what it told already, and keeps every name that was ever watched.
 */
export class Health {
  readonly #states = new Map<string, boolean>();
  readonly #watchers = new Set<() => void>();
  #isStopped = false;

  set(name: string, isServing: boolean): void {
    this.#change(() => this.#states.set(name, isServing));
  }

  /** The parts of a service, `<service>/<part>`: these and no others. */
  setParts(service: string, parts: ReadonlyMap<string, boolean>): void {
    const prefix = `${service}/`;
    this.#change(() => {
      for (const name of this.#states.keys()) {
        if (name.startsWith(prefix) && !parts.has(name.slice(prefix.length))) {
          this.#states.delete(name);
        }
      }
      for (const [part, isServing] of parts) {
        this.#states.set(prefix + part, isServing);
      }
    });
  }

  /** Everything is NOT_SERVING from here on, whatever is set later. */
  stop(): void {
    this.#change(() => {
      for (const name of this.#states.keys()) {
        this.#states.set(name, false);
      }
    });
    this.#isStopped = true;
  }

  addTo(server: Server, handlers: Handlers): void {
    server.addService(definition, {
      check: handlers.unary(async ({ service }: HealthCheckRequest) => this.#check(service)),
      watch: handlers.serverStream(({ service }: HealthCheckRequest, context) => this.#watch(service, context)),
      list: handlers.unary(async () => ({
        statuses: Object.fromEntries([...this.#states.keys()].map((name) => [name, this.#responseFor(name)])),
      })),
    });
  }

  #check(name: string): HealthCheckResponse {
    if (!this.#states.has(name)) {
      // As the protocol has it: SERVICE_UNKNOWN is for watches alone.
      throw new ServiceError('not-found', 'SERVICE_UNKNOWN', `there is no service "${name.slice(0, MAX_NAME_IN_TEXT)}" here`);
    }
    return this.#responseFor(name);
  }

  /** The state now and each other one later; what passes while the watcher does not read is left out. */
  async *#watch(name: string, { signal, shutdown }: CallContext): AsyncGenerator<HealthCheckResponse> {
    const over = AbortSignal.any([signal, shutdown]);
    let told: HealthCheckResponse['status'] | undefined;
    for (;;) {
      const response = this.#responseFor(name);
      if (response.status === told) {
        throwIfAborted(over);
        await this.#nextChange(over);
      } else {
        told = response.status;
        yield response;
      }
    }
  }

  #responseFor(name: string): HealthCheckResponse {
    const isServing = this.#states.get(name);
    return { status: isServing === undefined ? 'SERVICE_UNKNOWN' : isServing ? 'SERVING' : 'NOT_SERVING' };
  }

  #change(change: () => void): void {
    if (!this.#isStopped) {
      change();
      for (const wake of this.#watchers) {
        wake();
      }
    }
  }

  #nextChange(over: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        this.#watchers.delete(settle);
        over.removeEventListener('abort', settle);
        if (over.aborted) {
          reject(abortError(over));
        } else {
          resolve();
        }
      };
      this.#watchers.add(settle);
      over.addEventListener('abort', settle, { once: true });
    });
  }
}

/** A name from outside may be as long as a message. */
const MAX_NAME_IN_TEXT = 300;
