#compdef mreg
# Completion of mreg for zsh. Made by `mreg completion zsh`.
_mreg() {
    local -a found
    found=("${(@f)$(
        COMP_WORDS="${(j: :)words[1,CURRENT]}" COMP_CWORD=$((CURRENT - 1)) _MREG_COMPLETE=complete_bash \
            $words[1] 2>/dev/null
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
