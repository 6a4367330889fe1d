"""What `text-generation` measures answers with: matches, refusals, words, leaks, and judges that others bring."""
