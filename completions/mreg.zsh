#compdef mreg
# Completion of mreg for zsh. Made by `mreg completion zsh`.
_mreg() {
    local -a found
    found=("${(@f)$(
        _MREG_COMPLETE=zsh $words[1] "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null
    )}")
    found=(${found:#})
    if (( $#found )); then
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
