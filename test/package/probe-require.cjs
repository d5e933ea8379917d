// The same probe by `require`; see scripts/pack-smoke.mjs.
'use strict';
require('reflect-metadata');
const { NestFactory } = require('@nestjs/core');
const entry = require('nestjs-interlock');
const mysql = require('nestjs-interlock/mysql');
const postgres = require('nestjs-interlock/postgres');
const redis = require('nestjs-interlock/redis');
const testing = require('nestjs-interlock/testing');
const { probe } = require('./probe.cjs');

void probe({ NestFactory, entry, mysql, postgres, redis, testing, load: async (name) => require(name) });
