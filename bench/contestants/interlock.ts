import { redis } from 'nestjs-interlock/redis';
import { through } from './lock-service.js';

export const openInterlock = through((url) => redis(url));
