'use strict';

// Reads CHANGELOG.md, which follows https://keepachangelog.com, and finds its faults.

const { compare, valid } = require('semver');

const UNRELEASED = 'Unreleased';
const KINDS = ['Added', 'Changed', 'Deprecated', 'Removed', 'Fixed', 'Security'];
/**
 * Returns the introduction and the sections, newest first: `{ heading, version?, date?, body }`.
 */
function parseChangelog(text) {
  const [introduction, ...parts] = text.split(/^## /m);
  const sections = parts.map((part) => {
    const end = part.indexOf('\n');
    const heading = part.slice(0, end);
    const [, version, date] = /^(\S+) - (\d{4}-\d{2}-\d{2})$/.exec(heading) ?? [];
    return { heading, version, date, body: part.slice(end + 1).trim() };
  });
  return { introduction, sections };
}

/** Whether the date exists. JavaScript reads 30 February as 1 or 2 March. */
function isDate(text) {
  const date = new Date(`${text}T00:00:00Z`);
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(text);
}

function bodyFaults({ heading, version, body }) {
  const [before, ...groups] = `\n${body}\n`.split(/^### /m);
  const faults = [];
  if (before.trim() !== '') faults.push('the section has text before its first group');
  if (version !== undefined && groups.length === 0) faults.push('the section is empty');
  const places = groups.map((group) => KINDS.indexOf(group.slice(0, group.indexOf('\n'))));
  if (places.some((place, at) => place <= (places[at - 1] ?? -1))) {
    faults.push(`expected the groups ${KINDS.join(', ')}, each at most once and in this order`);
  }
  if (groups.some((group) => !/^\w+\n(\n*- .+\n(?: {2}.+\n)*)+\n*$/.test(group))) {
    faults.push('a group is not a list');
  }
  return faults.map((fault) => `${heading}: ${fault}`);
}

/** Describes the faults of the changelog; `current` is the version of the manifests. */
function changelogFaults(text, current) {
  const { introduction, sections } = parseChangelog(text);
  const [first, ...releases] = sections;
  const faults = [];
  if (!/^# Changelog\n/.test(introduction)) faults.push('the title is not Changelog');
  for (const place of ['https://keepachangelog.com', 'https://semver.org']) {
    if (!introduction.includes(place)) faults.push(`no link to ${place} before the first section`);
  }
  if (first?.heading !== UNRELEASED) faults.push(`the first section is not ${UNRELEASED}`);
  for (const { heading, version, date } of releases) {
    if (!version || valid(version) !== version)
      faults.push(`${heading}: expected the form 1.2.3 - 2026-01-31`);
    else if (!isDate(date)) faults.push(`${heading}: the date does not exist`);
  }
  if (faults.length > 0) return faults;
  for (const [at, { heading, version }] of releases.slice(0, -1).entries()) {
    const isNewer = compare(version, releases[at + 1].version) > 0;
    if (!isNewer) faults.push(`${heading}: the version is not newer than the one below it`);
  }
  const [newest] = releases;
  if (newest !== undefined && newest.version !== current) {
    faults.push(`the newest version is ${newest.version}, but package.json has ${current}`);
  }
  return [...faults, ...sections.flatMap(bodyFaults)];
}

module.exports = { UNRELEASED, changelogFaults, parseChangelog };
