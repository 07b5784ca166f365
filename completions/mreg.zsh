#compdef mreg
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
