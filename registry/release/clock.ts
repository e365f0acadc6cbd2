// The registry's clock is the services' one; its adapters and tests know it by this place.
export { type Clock, systemClock } from '../../infra/process/clock.ts';
