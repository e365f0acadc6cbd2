import { MemoryWishes } from '../../../../registry/adapters/memory/memory-wishes.ts';
import { describePrefetchWishes } from '../../../contract/prefetch-wishes-contract.ts';

describePrefetchWishes('memory', async () => new MemoryWishes());
