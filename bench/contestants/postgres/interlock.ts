import { postgres } from 'nestjs-interlock/postgres';
import { through } from '../lock-service.js';
import './count.js';

export const openInterlock = through((url) => postgres(url));
