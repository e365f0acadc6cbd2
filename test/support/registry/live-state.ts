import { MemoryReports } from '../../../registry/adapters/memory/memory-reports.ts';
import { MemoryWishes } from '../../../registry/adapters/memory/memory-wishes.ts';
import type { RegistryDeps } from '../../../registry/release/dependencies.ts';

/** What a registry process keeps of servers and of prefetches: each has its own. */
export function memoryLiveState(): Pick<RegistryDeps, 'reports' | 'wishes'> {
  return { reports: new MemoryReports(), wishes: new MemoryWishes() };
}
