"""Completion scripts for the shells, and the quoting of shells.

A script passes the line to mreg and gets a word on each line. It evaluates none of them, but the user runs an inserted
word by pressing Enter. zsh and fish quote the words that they insert; bash does not, so mreg quotes words for bash.
"""

from __future__ import annotations

import re

SHELLS = ("bash", "zsh", "fish")

_UNSAFE = re.compile(r"[^A-Za-z0-9_@%+=:,./\x80-\U0010ffff-]")
_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./-]+")
_DOUBLE_QUOTED = re.compile(r'[$`"\\]')


def needs_no_quotes(word: str) -> bool:
    """Return whether every shell reads the word literally without quotes."""
    return bool(_PLAIN.fullmatch(word)) and not word.startswith("=")


def quoted_for_bash(text: str, quote: str) -> str:
    """Return a text quoted for bash, which then reads it literally, without history expansion.

    Args:
        quote: The open quote before the text: ``'``, ``"`` or empty.
    """
    if quote == "'":
        return text.replace("'", "'\\''")
    if quote == '"':
        # In double quotes, bash expands ! and keeps a backslash before it, so ! is written outside of the quotes.
        return _DOUBLE_QUOTED.sub(r"\\\g<0>", text).replace("!", '"\\!"')
    return _UNSAFE.sub(r"\\\g<0>", text)


def completed_for_bash(text: str, quote: str) -> str:
    """Return the rest of a completed word, quoted for bash.

    Readline closes an open quote, unless the text ends with the character of the quote.
    """
    rest = quoted_for_bash(text, quote)
    return rest + quote if quote and rest.endswith(quote) else rest


def split(line: str, *, fish: bool = False) -> tuple[list[str], str]:
    """Return the words of an incomplete command line without their quotes, and the quote that is open at its end.

    The last word is empty if the line ends between words. Expansions are not expanded. If the line ends in a backslash,
    the open quote is ``\\``.

    Args:
        fish: A backslash escapes in single quotes, too.
    """
    words = [""]
    begun = False
    quote = ""
    place = 0
    while place < len(line):
        char = line[place]
        following = line[place + 1 : place + 2]
        place += 1
        if char == "\\" and _escapes(quote, following, fish=fish):
            if not following:
                return words, "\\"
            words[-1] += following
            begun = True
            place += 1
        elif quote:
            quote = "" if char == quote else quote
            words[-1] += char if quote else ""
        elif char in "'\"":
            quote = char
            begun = True
        elif char in " \t\n":
            if begun:
                words.append("")
            begun = False
        else:
            words[-1] += char
            begun = True
    return words, quote


def _escapes(quote: str, following: str, *, fish: bool) -> bool:
    """Return whether a backslash escapes the character that follows it."""
    if not quote or not following:
        return quote != "'" or fish
    if quote == "'":
        return fish and following in "'\\"
    return following in ('"$\\' if fish else '"$\\`')


def script(shell: str) -> str:
    """Return the completion script of a shell, equal to the file in ``completions/``."""
    return _SCRIPTS[shell]


_BASH = r"""# Completion of mreg for bash. Made by `mreg completion bash`.
_mreg() {
    local rest
    COMPREPLY=()
    # mreg prints the rest of each word, quoted. Readline replaces $2: the typed word, from its last break or quote on.
    while IFS= read -r rest; do
        COMPREPLY+=("$2$rest")
    done < <(_MREG_COMPLETE=bash "$1" "${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
    # Without an offer the shell's own completion of files comes in.
}
complete -o default -F _mreg mreg
"""

_ZSH = r"""#compdef mreg
# Completion of mreg for zsh. Made by `mreg completion zsh`.
_mreg() {
    local -a lines found shown
    lines=("${(@f)$(
        _MREG_COMPLETE=zsh $words[1] "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null
    )}")
    lines=(${lines:#})
    # A line is a word, or a word, a tab and how the list shows it.
    found=("${(@)lines%%$'\t'*}")
    shown=("${(@)lines#*$'\t'}")
    if [[ "$lines" == *$'\t'* ]]; then
        compadd -l -d shown -- $found
    elif (( $#lines )); then
        compadd -- $found
    else
        _files
    fi
}
if [[ $funcstack[1] == _mreg ]]; then
    _mreg "$@"
else
    compdef _mreg mreg
fi
"""

_FISH = r"""# Completion of mreg for fish. Made by `mreg completion fish`.
function __mreg_complete
    set -l typed (commandline -opc)
    set -l current (commandline -ct)
    set -l found (_MREG_COMPLETE=fish $typed[1] $typed[2..-1] "$current" 2>/dev/null)
    if set -q found[1]
        printf '%s\n' $found
    else
        # The default completion: files.
        complete --do-complete "__mreg_files $current"
    end
end
complete --command mreg --no-files --arguments "(__mreg_complete)"
"""

_SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
