import { defineTask } from 'fasttask';
import { probe } from './packages/probe.ts';

export default defineTask(probe);
