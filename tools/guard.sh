#!/bin/sh
# Each line of the standard input names the process group to guard from now on, or no group if the
# line is empty. The input ends when the process that writes it closes it or dies. This script then
# ends the group of the last line and removes the folder $1.
group=
while read -r line; do group=$line; done
if [ -n "$group" ]; then
  kill -s TERM -- "-$group" 2>/dev/null
  # A stopped group does not receive the signal.
  kill -s CONT -- "-$group" 2>/dev/null
  waits=0
  while kill -s 0 -- "-$group" 2>/dev/null && [ "$waits" -lt 100 ]; do
    sleep 0.1
    waits=$((waits + 1))
  done
  kill -s KILL -- "-$group" 2>/dev/null
fi
rm -rf -- "$1"
