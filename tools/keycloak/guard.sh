#!/bin/sh
# Ends the process group $1 and removes the folder $2 when its standard input ends: when the process
# that holds the other end closes it, or dies, in whatever way.
read -r _
kill -s TERM -- "-$1" 2>/dev/null
# A group that was stopped would not see the signal.
kill -s CONT -- "-$1" 2>/dev/null
waits=0
while kill -s 0 -- "-$1" 2>/dev/null && [ "$waits" -lt 100 ]; do
  sleep 0.1
  waits=$((waits + 1))
done
kill -s KILL -- "-$1" 2>/dev/null
rm -rf -- "$2"
