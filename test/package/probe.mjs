// Run inside a scratch project that has the packed tarball installed; see scripts/pack-smoke.mjs.
import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import * as entry from 'nestjs-interlock';
import * as mysql from 'nestjs-interlock/mysql';
import * as postgres from 'nestjs-interlock/postgres';
import * as redis from 'nestjs-interlock/redis';
import * as testing from 'nestjs-interlock/testing';
import { probe } from './probe.cjs';

await probe({ NestFactory, entry, mysql, postgres, redis, testing, load: (name) => import(name) });
