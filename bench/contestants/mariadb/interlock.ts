import { mysql } from 'nestjs-interlock/mysql';
import { through } from '../lock-service.js';
import './count.js';

export const openInterlock = through((url) => mysql(url));
