#!/bin/sh
# Each line of the standard input is the process group to watch now, empty for none. When the input
# ends, when the process that holds its other end closes it, or dies, in whatever way, this ends
# the group of the last line and removes the folder $1.
group=
while read -r line; do group=$line; done
if [ -n "$group" ]; then
  kill -s TERM -- "-$group" 2>/dev/null
  # A group that was stopped would not see the signal.
  kill -s CONT -- "-$group" 2>/dev/null
  waits=0
  while kill -s 0 -- "-$group" 2>/dev/null && [ "$waits" -lt 100 ]; do
    sleep 0.1
    waits=$((waits + 1))
  done
  kill -s KILL -- "-$group" 2>/dev/null
fi
rm -rf -- "$1"
