#!/usr/bin/env bash
# Packs your assignment for handing in:
#
#     ./CollectSubmission.sh <student-id>          makes <student-id>.tar.gz
#
# Everything is checked before anything is written, and an archive that is already there is replaced only by a complete
# one. It runs with the bash 3.2 of macOS, in Git Bash on Windows and on Linux.

set -u

# What is handed in, a line a file: its kind, the pattern of its name, its largest size in MB, what it is called.
# `grade.py template` writes these lines for each assignment, from [files] in its assignment.toml.
# BEGIN FILES
FILES='notebook|Assignment2-1*.ipynb|100|the notebook of part 1 (Transformer from scratch)
notebook|Assignment2-2*.ipynb|100|the notebook of part 2 (Vision Transformer)
weights|*.pth|100|the .pth with the trained weights'
# END FILES

say_usage() {
  cat <<TEXT
Usage: ./CollectSubmission.sh [--force] <student-id>

Packs the files of this folder that are asked for into <student-id>.tar.gz:
$(printf '%s\n' "$FILES" | while IFS='|' read -r _ pattern _ title; do printf '  %s, %s\n' "$title" "$pattern"; done)
The id has letters, digits, - and _ only, for example 1102444016.
--force packs notebooks whose outputs were cleared, too; a grader may deduct for that.
TEXT
}

usage() {
  say_usage >&2
  exit 2
}

problems=0
problem() {
  printf 'PROBLEM  %s\n' "$1" >&2
  problems=$((problems + 1))
}

note() {
  printf 'note     %s\n' "$1" >&2
}

# Sets FOUND to the one file of this folder that fits pattern $1, or names the problem. $2 says what it is.
find_one() {
  FOUND=''
  local candidate names='' count=0 IFS=
  for candidate in $1; do # the pattern unfolds here; with an empty IFS, names and patterns with spaces stay whole
    [ -f "$candidate" ] || continue
    FOUND=$candidate
    names="$names${names:+, }$candidate"
    count=$((count + 1))
  done
  unset IFS
  if [ "$count" -eq 0 ]; then
    problem "$2 is missing: no file here is named $1"
  elif [ "$count" -gt 1 ]; then
    problem "$2 must be one file, but here are $count: $names. Move the others to another folder."
    FOUND=''
  fi
}

# Prints the first Python 3 that really runs (on Windows, `python3` may be a stub that opens a shop).
find_python() {
  local name
  for name in python3 python py; do
    if "$name" -c 'import sys; sys.exit(sys.version_info < (3,))' >/dev/null 2>&1; then
      printf '%s' "$name"
      return
    fi
  done
}

# Prints "ok", "cleared", or what is wrong with the notebook that comes on standard input.
READ_NOTEBOOK='
import json, sys
try:
    book = json.loads(sys.stdin.buffer.read().decode("utf-8-sig"))
    code = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    run = [cell for cell in code if cell.get("outputs")]
except (ValueError, RecursionError):
    print("is not a valid notebook (no JSON): save it again in Jupyter or Colab")
except (KeyError, TypeError, AttributeError):
    print("is not a valid notebook (no list of cells): save it again in Jupyter or Colab")
else:
    print("has no code cell" if not code else "ok" if run else "cleared")
'

# Without Python: whether a notebook has its two main keys and the last brace.
looks_whole() {
  grep -q '"cells"' "$1" && grep -q '"nbformat"' "$1" || return 1
  case $(tail -c 200 "$1" | tr -d '[:space:]') in
    *\}) return 0 ;;
  esac
  return 1
}

check_notebook() {
  local said
  if [ ! -r "$1" ]; then
    problem "$1 cannot be read: change its permissions"
    return
  fi
  if [ ! -s "$1" ]; then
    problem "$1 is empty: save it again in Jupyter or Colab"
    return
  fi
  if [ -n "$python" ]; then
    said=$(PYTHONIOENCODING=utf-8 "$python" -c "$READ_NOTEBOOK" <"$1" | tr -d '\r')
  elif ! looks_whole "$1"; then
    said='is not a valid notebook (no cells, or cut off): save it again in Jupyter or Colab'
  elif grep -q '"output_type"' "$1"; then
    said='ok'
  else
    said='cleared'
  fi
  case $said in
    ok) ;;
    cleared)
      if [ "$force" -eq 1 ]; then
        note "$1: its outputs were cleared; packed all the same because of --force"
      else
        problem "$1: its outputs were cleared. Run it from top to bottom and save it (or add --force)."
      fi
      ;;
    *) problem "$1 ${said:-could not be read}" ;;
  esac
}

# $1: the weights; $2: their largest size in MB.
check_weights() {
  local bytes
  if [ ! -r "$1" ]; then
    problem "$1 cannot be read: change its permissions"
    return
  fi
  bytes=$(wc -c <"$1" | tr -d '[:space:]')
  if [ "${bytes:-0}" -eq 0 ]; then
    problem "$1 is empty: save the weights again"
  elif [ "$bytes" -gt $(($2 * 1024 * 1024)) ]; then
    problem "$1 has $((bytes / 1024 / 1024)) MB, more than the $2 MB allowed: train a smaller model"
  fi
}

force=0
id=''
for argument in "$@"; do
  case $argument in
    --force) force=1 ;;
    -h | --help)
      say_usage
      exit 0
      ;;
    -*) usage ;;
    *)
      [ -z "$id" ] || usage
      id=$argument
      ;;
  esac
done
[ -n "$id" ] || usage
LC_ALL=C
export LC_ALL # so that A-Z below means these letters alone
case $id in
  *[!A-Za-z0-9_-]*)
    printf 'The student id "%s" has something else than letters, digits, - and _.\n\n' "$id" >&2
    usage
    ;;
esac

python=$(find_python)
[ -n "$python" ] || note 'no Python was found here: the notebooks could only be looked at roughly'

wanted=0
packed=()
while IFS='|' read -r kind pattern max_mb title; do
  wanted=$((wanted + 1))
  find_one "$pattern" "$title"
  [ -n "$FOUND" ] || continue
  packed+=("$FOUND")
  case $kind in
    notebook) check_notebook "$FOUND" ;;
    *) check_weights "$FOUND" "$max_mb" ;;
  esac
done <<LIST
$FILES
LIST
archive=$id.tar.gz
[ ! -d "$archive" ] || problem "$archive is a folder here: rename it, so that the archive can take its name"
[ -w . ] || problem 'This folder cannot be written to: copy it to one of yours'

if [ "$problems" -gt 0 ]; then
  printf '\nNothing was written. Mend what is named above and run this again.\n' >&2
  exit 1
fi

unfinished=.$id.$$.tmp # in the same folder, so that the last step is a mere renaming
trap 'rm -f "$unfinished"' EXIT
trap 'exit 130' INT
trap 'exit 143' HUP TERM

fail() {
  printf 'PROBLEM  %s\n\nNo archive was made; %s is as it was before.\n' "$1" "$archive" >&2
  exit 1
}

COPYFILE_DISABLE=1 # no ._ files from macOS; -h packs what a link points to
export COPYFILE_DISABLE
tar -chzf - -- "${packed[@]}" >"$unfinished" || fail 'tar could not pack the files (is the disk full?)'
names=$(tar -tzf - <"$unfinished") || fail 'the archive could not be read back (is the disk full?)'
count=$(printf '%s\n' "$names" | grep -c .)
[ "$count" -eq "$wanted" ] || fail "the archive holds $count files instead of $wanted"
mv -f -- "$unfinished" "$archive" || fail "$archive could not be written (is it open in another program?)"

printf '%s is complete:\n' "$archive"
printf '  %s\n' "${packed[@]}"
