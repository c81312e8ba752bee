"""What happens on the node, from the claim to the verdict; the only room that trains."""
